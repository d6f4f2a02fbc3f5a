int placeholder_forecasting; 
